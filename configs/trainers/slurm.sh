#!/bin/bash
# A run on several nodes. Submit it where `kdlight` runs; what follows the script's name goes to `kdlight fit`:
#
#   sbatch configs/trainers/slurm.sh --config configs/imagenet/kd.yaml
#
# Set the number of nodes below, and the GPUs of a node twice: srun starts one process for each GPU, Lightning starts none.
# Two minutes before the time limit the processes get SIGTERM and save their position inside the epoch; the job is queued
# again and continues there, or, after a node's failure, from the last checkpoint. Every attempt uses runs/slurm-JOB.
#
#SBATCH --job-name=kdlight
#SBATCH --nodes=2
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

run=runs/slurm-$SLURM_JOB_ID

code=0
srun --kill-on-bad-exit=1 kdlight fit "$@" --trainer.default_root_dir "$run" --ckpt_path auto \
  --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" || code=$?

# 143: stopped by SIGTERM. With any other code a second attempt would end the same way.
if [ "$code" -eq 143 ]; then exec scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
