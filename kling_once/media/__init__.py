"""Pictures, frames, clips and sound to and from files."""
