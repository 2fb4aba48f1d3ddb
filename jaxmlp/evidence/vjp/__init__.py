"""vjp: a test bench for anybody's custom derivative rule."""
