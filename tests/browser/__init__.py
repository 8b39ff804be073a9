"""The product in a real Chromium, against the really running parts: what a person sees and does."""
