"""What facts mean: from facts and open rows to rows. Pure: no I/O, no clock but the block's."""
