"""Read images from archives, folders, and the files of the published data sets."""
