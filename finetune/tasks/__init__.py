"""One file for each task: its columns, head, encoding, loss, predictions and scores."""
