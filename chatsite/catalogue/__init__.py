"""What can be run, where and by whom: the models of this site."""
