"""Work that goes on after the answer: batches, fine-tuning, evals, runs of threads and agents."""
