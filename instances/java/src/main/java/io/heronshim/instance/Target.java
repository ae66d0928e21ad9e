package io.heronshim.instance;

import io.heronshim.stream.Pace;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** All that goes to one task. */
final class Target {
  /** Rows as one frame that has not left; a spout's trees open when it does. */
  static final class Sealed {
    final OpenBatch batch;
    final OpenBatch.Rows rows;

    /** Of its payload, at most. */
    final long bytesMax;

    /** Set when it was on its way already. */
    final byte[] payload;

    Sealed(OpenBatch batch, OpenBatch.Rows rows, long bytesMax, byte[] payload) {
      this.batch = batch;
      this.rows = rows;
      this.bytesMax = bytesMax;
      this.payload = payload;
    }
  }

  final int task;
  final Pace pace = new Pace();

  /** One of each task that emits to this one. */
  final List<OpenBatch> batches = new ArrayList<>();

  /** What waits for credit, in order; rows stay in their batches behind the first of it. */
  final Deque<Sealed> waiting = new ArrayDeque<>();

  Target(int task) {
    this.task = task;
  }
}
