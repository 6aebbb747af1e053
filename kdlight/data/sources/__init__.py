"""Where images come from: archives, folders, and the files of the published data sets."""
