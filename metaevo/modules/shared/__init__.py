"""What modules share: plain functions on records. Each module's digest covers the files of this folder it imports."""
