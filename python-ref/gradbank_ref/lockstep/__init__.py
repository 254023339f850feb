"""The believed side of a lockstep comparison: training steps taken in float32 and in float64, stage by stage."""
