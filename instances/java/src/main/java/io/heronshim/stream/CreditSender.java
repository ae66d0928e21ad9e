package io.heronshim.stream;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** What this process may still send to each destination task; never negative. */
public final class CreditSender {
  private static final long CREDIT_BYTES_MAX =
      CreditReceiver.WINDOW_BYTES_MAX + FrameHeader.PAYLOAD_BYTES_MAX;

  private final Map<Integer, Long> credit = new HashMap<>();
  private final Set<Integer> asked = new HashSet<>();

  /** Bytes left for a task. */
  public long left(int task) {
    return credit.getOrDefault(task, 0L);
  }

  /** A frame was sent. */
  public void spend(int task, long costBytes) {
    credit.merge(task, -costBytes, Long::sum);
  }

  /** Whether a CreditRequest is due: once until credit comes. */
  public boolean ask(int task) {
    return asked.add(task);
  }

  /**
   * Credit came.
   *
   * @throws RemoteProtocolError it is more than a window and the largest frame: sent, it would fill
   *     the memory of whoever grants it without reading
   */
  public void granted(int task, long bytes) {
    long total = left(task) + bytes;
    if (bytes < 0 || bytes > CREDIT_BYTES_MAX || total > CREDIT_BYTES_MAX) {
      throw new RemoteProtocolError(
          Long.toUnsignedString(bytes) + " bytes of credit for task " + task + " make "
              + Long.toUnsignedString(total) + "; at most " + CREDIT_BYTES_MAX + " make sense");
    }
    credit.put(task, total);
    asked.remove(task);
  }
}
