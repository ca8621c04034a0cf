"""Speed beside accuracy, and beside a peer in the same process."""
