"""The revisions: explicit statements, which never change once a metaevo with them was used."""
