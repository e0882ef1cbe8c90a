"""One file for each tuning method: which parameters a run trains, and how fast."""
