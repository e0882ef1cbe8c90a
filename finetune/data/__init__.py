"""From files, the Hub or plain Python values to named splits of rows."""
