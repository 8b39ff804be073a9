"""The site's side of the token log: alone in turning the log into rows."""
