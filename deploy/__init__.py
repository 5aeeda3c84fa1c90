"""Starting, supervising and steering the stages of one system."""
