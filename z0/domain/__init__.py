"""The pure kernel: values in, values out. No clock, no I/O, no Faust; standard library and msgspec only."""
