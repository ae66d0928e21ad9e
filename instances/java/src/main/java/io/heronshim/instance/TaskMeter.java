package io.heronshim.instance;

import io.heronshim.stream.Histogram;
import io.heronshim.wire.v1.ErrorReport;
import io.heronshim.wire.v1.Merge;
import io.heronshim.wire.v1.NamedValue;
import io.heronshim.wire.v1.TaskMetrics;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** What one task did since its last report. Thread-safe. */
final class TaskMeter {
  private static final int MESSAGE_CHARACTERS_MAX = 1000;
  private static final int DETAIL_CHARACTERS_MAX = 8000;
  private static final int IN_HAND_CHARACTERS_MAX = 500;
  private static final int SUPPRESSED_CAUSES_MAX = 100;
  private static final int FRAMES_MAX = 20;
  private static final int FINGERPRINT_DIGITS = 12;

  /** An error over the limit, and when the newest of its kind was. */
  private record Suppressed(ErrorReport report, long sinceNs) {}

  private final int task;
  private final String component;
  private final int errorMax;
  private final long errorIntervalNs;
  private final Map<String, Double> sums = new TreeMap<>();
  private final Map<String, Double> gauges = new TreeMap<>();
  private final Map<String, Double> userTotals = new TreeMap<>();
  private final Histogram executeLatency = new Histogram();
  private final Histogram completeLatency = new Histogram();
  private final Histogram completedBefore = new Histogram();
  private final Deque<Long> recentErrorsNs = new ArrayDeque<>();
  private final Map<String, Suppressed> suppressed = new TreeMap<>();
  private final List<ErrorReport> errors = new ArrayList<>();

  TaskMeter(int task, String component, int errorMax, long errorIntervalNs) {
    this.task = task;
    this.component = component;
    this.errorMax = errorMax;
    this.errorIntervalNs = errorIntervalNs;
  }

  /** Adds to a count. */
  synchronized void add(String name, double by) {
    sums.merge(name, by, Double::sum);
  }

  /** Counts rows that a bolt executed, and the time that they took together. */
  synchronized void addExecuted(String name, int rows, long elapsedUs) {
    add(name, rows);
    add("execute_time_us", elapsedUs);
    add("busy_time_us", elapsedUs);
    if (rows > 0) {
      executeLatency.add(elapsedUs / rows, rows);
    }
  }

  /** Counts a tree of a spout that completed. */
  synchronized void addCompleted(long openUs) {
    add("ack_count", 1);
    completeLatency.add(openUs, 1);
  }

  /** p99 of this interval and the last one in which a tree completed; negative if unknown. */
  synchronized double completeLatencyUs() {
    Histogram both = new Histogram();
    both.add(completedBefore);
    both.add(completeLatency);
    return both.quantile(0.99);
  }

  /** Sets a gauge. */
  synchronized void set(String name, double value) {
    gauges.put(name, value);
  }

  /** The author's own counters and gauges. */
  synchronized void setUser(Map<String, Double> counters, Map<String, Double> userGauges) {
    counters.forEach(
        (name, total) -> {
          Double before = userTotals.put(name, total);
          add("user/" + name, total - (before == null ? 0 : before));
        });
    userGauges.forEach((name, value) -> set("user/" + name, value));
  }

  /** Reports an error with its trace; over the limit it is counted. */
  void error(Throwable error, String inHand, long nowNs, long timeMs) {
    // What an author's exception says of itself may wait for anything: the lock is not held.
    String cause = fingerprint(error);
    String message = cut(sendable(Log.text(error)), MESSAGE_CHARACTERS_MAX);
    String text = cut(sendable(inHand), IN_HAND_CHARACTERS_MAX);
    ErrorReport.Builder report = admit(cause, message, text, nowNs, timeMs);
    if (report != null) {
      String trace = sendable(Log.trace(error));
      int from = Math.max(0, trace.length() - DETAIL_CHARACTERS_MAX);
      addError(report.setDetail(trace.substring(from)).build());
    }
  }

  /** Counts an error; null: it is over the limit. */
  private synchronized ErrorReport.Builder admit(
      String cause, String message, String inHand, long nowNs, long timeMs) {
    add("error_count", 1);
    Suppressed known = suppressed.get(cause);
    ErrorReport.Builder report =
        ErrorReport.newBuilder()
            .setTimeMs(timeMs)
            .setTask(task)
            .setComponent(component)
            .setMessage(message)
            .setCount(1 + (known == null ? 0 : known.report().getCount()))
            .setFingerprint(cause)
            .setFirstMs(known == null ? timeMs : known.report().getFirstMs())
            .setInHand(inHand);
    while (!recentErrorsNs.isEmpty() && nowNs - recentErrorsNs.peekFirst() >= errorIntervalNs) {
      recentErrorsNs.removeFirst();
    }
    if (recentErrorsNs.size() >= errorMax) {
      if (known != null || suppressed.size() < SUPPRESSED_CAUSES_MAX) {
        suppressed.put(cause, new Suppressed(report.build(), nowNs));
      }
      return null;
    }
    recentErrorsNs.addLast(nowNs);
    suppressed.remove(cause);
    return report;
  }

  private synchronized void addError(ErrorReport report) {
    errors.add(report);
  }

  /** Returns and forgets the errors to report; `last`: the process ends. */
  synchronized List<ErrorReport> takeErrors(long nowNs, boolean last) {
    List<ErrorReport> taken = new ArrayList<>(errors);
    errors.clear();
    suppressed
        .values()
        .removeIf(
            one -> {
              boolean due = last || nowNs - one.sinceNs() >= errorIntervalNs;
              if (due) {
                taken.add(one.report());
              }
              return due;
            });
    return taken;
  }

  /** Returns and forgets the interval's counts; gauges stay. */
  synchronized TaskMetrics take() {
    TaskMetrics.Builder metrics = TaskMetrics.newBuilder().setTask(task).setComponent(component);
    sums.forEach((name, value) -> metrics.addValues(value(name, value, Merge.MERGE_SUM)));
    gauges.forEach((name, value) -> metrics.addValues(value(name, value, Merge.MERGE_LAST)));
    sums.clear();
    addHistogram(metrics, "execute_latency_us", executeLatency);
    if (completeLatency.total() > 0) {
      completedBefore.clear();
      completedBefore.add(completeLatency);
    }
    addHistogram(metrics, "complete_latency_us", completeLatency);
    return metrics.build();
  }

  private static NamedValue value(String name, double value, Merge merge) {
    return NamedValue.newBuilder().setName(name).setValue(value).setMerge(merge).build();
  }

  private static void addHistogram(TaskMetrics.Builder metrics, String name, Histogram histogram) {
    if (histogram.total() == 0) {
      return;
    }
    io.heronshim.wire.v1.Histogram.Builder counts =
        io.heronshim.wire.v1.Histogram.newBuilder().setName(name);
    for (int bucket = 0; bucket < 256; bucket++) {
      if (histogram.count(bucket) > 0) {
        counts.addBuckets(bucket).addCounts(histogram.count(bucket));
      }
    }
    histogram.clear();
    metrics.addHistograms(counts);
  }

  /** Equal for errors of one class at one place, whatever numbers are in their texts. */
  private String fingerprint(Throwable error) {
    Set<String> frames = new LinkedHashSet<>();
    for (StackTraceElement frame : error.getStackTrace()) {
      if (!frame.getClassName().startsWith("io.heronshim.") && frames.size() < FRAMES_MAX) {
        frames.add(frame.getFileName() + ":" + frame.getMethodName() + ":" + frame.getLineNumber());
      }
    }
    String whole =
        String.join("\0", component, error.getClass().getSimpleName(), String.join("|", frames));
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(whole.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest).substring(0, FINGERPRINT_DIGITS);
    } catch (NoSuchAlgorithmException missing) {
      throw new IllegalStateException(missing);
    }
  }

  private static String cut(String text, int charactersMax) {
    return text.length() <= charactersMax ? text : text.substring(0, charactersMax);
  }

  /** A text that has a UTF-8 form: lone surrogates become question marks. */
  private static String sendable(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
  }
}
