"""Submit the runs of a grid as jobs of a cluster, with submitit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlight.errors import UserError
from kdlight.workbench.ablate.jobs import Job


def submit(
    jobs: Sequence[Job], threads: int, folder: Path, *, cluster: str = "slurm", options: Mapping[str, Any] | None = None
) -> list[Any]:
    """Submit all jobs as one job array.

    A run locks its folder. So if a run is submitted again while its first job trains, the second job ends at once.

    Args:
        jobs: The runs, whose teachers must be trained already.
        threads: Number of CPU cores of each job.
        folder: The folder for submitit's files, among them the logs.
        cluster: submitit's name of the cluster; "local" runs the jobs on this machine.
        options: Arguments of submitit's ``update_parameters``, such as ``slurm_partition`` or ``timeout_min``.

    Returns:
        The jobs as objects of submitit.

    Raises:
        UserError: If submitit is not installed, a teacher is not trained, or the cluster refuses the jobs.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("submitting a grid needs submitit: pip install 'kdlight[slurm]'") from None
    missing = [job for job in jobs if job.needs]
    if missing:
        teacher = missing[0].needs[0]
        raise UserError(
            f"{missing[0].name} needs {teacher.name}, which is not trained; train it first: kdlight fit "
            f"{teacher.arguments[0]}"
        )
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(name="kdlight", cpus_per_task=threads, **(options or {}))
        with executor.batch():
            return [executor.submit(fit, job.arguments, threads) for job in jobs]
    except (RuntimeError, NameError, FileNotFoundError) as error:
        raise UserError(f"{cluster}: {error}; expected a machine from which jobs can be submitted") from error


def fit(arguments: Sequence[str], threads: int) -> None:
    """Run ``kdlight fit`` inside a job of the cluster.

    Raises:
        RuntimeError: If the fit did not end with exit code 0; the cluster then counts the job as failed.
    """
    import torch

    from kdlight.__main__ import main

    torch.set_num_threads(threads)
    code = main(["fit", *arguments])
    if code != 0:
        raise RuntimeError(f"kdlight fit ended with exit code {code}")
