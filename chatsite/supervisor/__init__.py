"""What `manage.py up` is made of: starts the parts, keeps them alive, ends them. Holds no state."""
