"""Methods compared on equal terms: who runs, what is gathered, how it is shown."""
