package io.heronshim.instance;

import io.heronshim.codec.RowReader;
import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.Topology;
import java.util.Map;

/** Options of the topology and of one component that instances use; defaults as in Python. */
final class Options {
  private final Map<String, Object> topology;
  private final Map<String, Object> component;

  Options(Topology topology, Component component) {
    this.topology = RowReader.map(topology.getOptions().toByteArray());
    this.component = RowReader.map(component.getOptions().toByteArray());
  }

  boolean tracked() {
    return text(topology, "delivery", "at_least_once").equals("at_least_once");
  }

  /** 0: trees do not time out. */
  double messageTimeoutS() {
    boolean on = !Boolean.FALSE.equals(topology.get("message_timeouts")) || !tracked();
    return on ? number(topology, "message_timeout_s", 30) : 0;
  }

  /** Null: not set. */
  Boolean failFast() {
    return topology.get("fail_fast") instanceof Boolean wanted ? wanted : null;
  }

  int maxSpoutPending() {
    double ofAll = number(topology, "max_spout_pending", 5000);
    return (int) number(component, "max_spout_pending", ofAll);
  }

  boolean restartsOnException() {
    String ofAll = text(topology, "on_user_exception", "fail_tuple");
    return text(component, "on_user_exception", ofAll).equals("restart");
  }

  long flushAgeNs() {
    return (long) (number(topology, "flush_age_ms", 1) * 1e6);
  }

  int batchRows() {
    return (int) number(topology, "batch_rows", 2000);
  }

  int batchBytes() {
    return (int) number(topology, "batch_bytes", 32_768);
  }

  int errorReportMax() {
    return (int) number(topology, "error_report_max", 5);
  }

  long errorReportIntervalNs() {
    return (long) (number(topology, "error_report_interval_s", 10) * 1e9);
  }

  long spoutWaitNs() {
    return (long) (number(topology, "spout_wait_ms", 1) * 1e6);
  }

  long metricsIntervalNs() {
    return (long) (number(topology, "metrics_interval_s", 1) * 1e9);
  }

  /** Seconds between tick tuples; 0: none. */
  double tickIntervalS() {
    return number(component, "tick_interval_s", 0);
  }

  boolean holdsTuples() {
    return Boolean.TRUE.equals(component.get("holds_tuples"));
  }

  private static double number(Map<String, Object> options, String name, double missing) {
    return options.get(name) instanceof Number number ? number.doubleValue() : missing;
  }

  private static String text(Map<String, Object> options, String name, String missing) {
    return options.get(name) instanceof String text ? text : missing;
  }
}
