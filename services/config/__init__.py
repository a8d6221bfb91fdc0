"""metaevo.toml: its tables, how it is read, and which keys come with a later part."""
