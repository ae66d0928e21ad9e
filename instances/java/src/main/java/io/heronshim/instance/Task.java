package io.heronshim.instance;

import io.heronshim.stream.Frame;
import java.util.List;
import java.util.function.Supplier;

/** One task of this process. */
abstract class Task {
  final InstanceRuntime runtime;
  final TaskContext context;
  final Options options;
  final TaskMeter meter;
  Emitter emitter;
  private volatile String inHand = "";
  private long steppedNs;

  Task(InstanceRuntime runtime, TaskContext context, Options options) {
    this.runtime = runtime;
    this.context = context;
    this.options = options;
    this.meter =
        new TaskMeter(
            context.task(),
            context.component(),
            options.errorReportMax(),
            options.errorReportIntervalNs());
    this.steppedNs = runtime.nowNs();
  }

  int id() {
    return context.task();
  }

  // ---- the executor's thread ----

  /** Calls the author's open or prepare. */
  abstract void open(Emitter own);

  /** Calls the author's code for about half a millisecond; returns whether anything happened. */
  abstract boolean step(long nowNs);

  /** Counts the time since the last step of a task that waits for others. */
  final void countStep(boolean held, long nowNs) {
    if (held) {
      meter.add("back_pressure_time_us", (nowNs - steppedNs) / 1000);
    }
    steppedNs = nowNs;
  }

  /** Calls the author's close or cleanup. */
  abstract void close();

  /** When something is due though nothing happens; Long.MAX_VALUE: never. */
  abstract long nextDeadlineNs();

  // ---- IO lock held ----

  /** Returns and forgets outcomes to send. */
  List<Frame> takeOutcomes() {
    return List.of();
  }

  /** Fails what is due. */
  void onTime(long nowNs) {}

  /** Tuples may be gone. */
  void onLoss(String cause, long nowNs) {}

  /** Sets gauges before a report. */
  abstract void measure();

  // ---- any thread ----

  /** Reports an error without failing anything. */
  void report(Throwable error) {
    Log.error(
        "user_code_error", "component", context.component(), "task", id(), "error", error);
    meter.error(error, inHand, runtime.nowNs(), System.currentTimeMillis());
  }

  /** What the author's code works on, for reports of errors. */
  final void setInHand(Supplier<String> text) {
    inHand = text == null ? "" : text.get();
  }

  /** Reports what the author's code threw; the process ends where the topology says so. */
  final void onThrown(Throwable error) {
    report(error);
    boolean isFault = !(error instanceof Exception);
    if (isFault || options.restartsOnException()) {
      throw new UserCodeFailed(error);
    }
  }
}
