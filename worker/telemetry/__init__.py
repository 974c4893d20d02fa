"""What the worker says about itself: metrics and logs."""
