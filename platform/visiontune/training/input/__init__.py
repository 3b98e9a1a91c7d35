"""Pictures of a store on their way to a network: order, loader, batches, preprocessing."""
