"""Images and audio made by hand, so that the sandbox needs no codec library."""
