"""The parts of throughput.py: a server, the two sides, and how they are measured alike."""
