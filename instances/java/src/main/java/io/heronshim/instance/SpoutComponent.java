package io.heronshim.instance;

import java.util.Map;

/** An author's spout. Called by its executor's thread only. */
public interface SpoutComponent {
  /** Called once, before all else. */
  void open(SpoutCollector collector);

  /** The topology is active. */
  void activate();

  /** The topology is not active any more. */
  void deactivate();

  /** May emit. */
  void nextTuple();

  /** A tree completed after `openMs`. */
  void ack(Object id, double openMs);

  /** A tree failed. */
  void fail(Object id);

  /** The process ends. */
  void close();

  /** The author's own counters by name: totals since the start. */
  Map<String, Double> counters();

  /** The author's own gauges by name. */
  Map<String, Double> gauges();
}
