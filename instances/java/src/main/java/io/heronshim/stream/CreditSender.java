package io.heronshim.stream;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** What this process may still send to each destination task; never negative. */
public final class CreditSender {
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

  /** Credit came. */
  public void granted(int task, long bytes) {
    credit.merge(task, bytes, Long::sum);
    asked.remove(task);
  }
}
