package io.heronshim.stream;

/** Counts frames of one link and direction; a gap means that frames were lost. */
public final class SequenceWatch {
  private long last;

  /** Begins after frame `last`. */
  public SequenceWatch(long last) {
    this.last = last;
  }

  /** Sequence number of the newest frame seen. */
  public long last() {
    return last;
  }

  /** Takes the next frame's number; throws RemoteProtocolError when it does not follow the last. */
  public void take(long sequence) {
    if (sequence == last + 1) {
      last = sequence;
      return;
    }
    if (Long.compareUnsigned(sequence, last) <= 0) {
      throw new RemoteProtocolError(
          "frame " + sequence + " came again, or late, after frame " + last);
    }
    throw new RemoteProtocolError(
        (sequence - last - 1) + " frames before frame " + sequence + " never came");
  }

  /** The frame taken last says which number the peer had sent before it. */
  public void check(long lastSent) {
    long behind = lastSent + 1 - last;
    if (behind > 0) {
      throw new RemoteProtocolError(behind + " frames up to frame " + lastSent + " never came");
    }
  }
}
