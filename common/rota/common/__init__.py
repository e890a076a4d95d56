"""What scheduler and worker share: the model, the store's transitions, the contracts."""
