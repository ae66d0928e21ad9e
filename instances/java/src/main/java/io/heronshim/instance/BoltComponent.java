package io.heronshim.instance;

import java.util.Map;

/** An author's bolt. Called by its executor's thread only. */
public interface BoltComponent {
  /** Called once, before all else. */
  void prepare(BoltCollector collector);

  /** Takes a tuple. */
  void execute(InputTuple input);

  /** The process ends. */
  void cleanup();

  /** The author's own counters by name: totals since the start. */
  Map<String, Double> counters();

  /** The author's own gauges by name. */
  Map<String, Double> gauges();
}
