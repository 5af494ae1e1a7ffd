"""Read, measure, correct and write pictures, frames, clips and sound."""
