"""The folder is the registry: a recipe file that says `suite = "NAME"` means the module NAME here."""
