package io.heronshim.instance;

import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.ComponentKind;
import io.heronshim.wire.v1.Dialect;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;

/** One thread that runs the tasks of one executor, one after another. */
final class Executor implements Runnable {
  private static final long IDLE_NS_MAX = 200_000_000;

  /** Hears that an author's code ended the process. */
  interface OnFailure {
    /** What was thrown is reported already. */
    void failed(UserCodeFailed error);
  }

  private final InstanceRuntime runtime;
  private final ChildStart start;
  private final Plan plan;
  private final List<Integer> ids;
  private final OnFailure onFailure;
  private final Thread thread;

  /** Written by the thread itself, read by whoever reports an error. */
  private final List<Task> tasks = new CopyOnWriteArrayList<>();

  private final List<Task> opened = new ArrayList<>();
  private long measureAtNs;
  private volatile boolean stopping;

  Executor(
      InstanceRuntime runtime,
      ChildStart start,
      Plan plan,
      List<Integer> ids,
      OnFailure onFailure) {
    this.runtime = runtime;
    this.start = start;
    this.plan = plan;
    this.ids = ids;
    this.onFailure = onFailure;
    this.thread = new Thread(this, "executor-" + ids.get(0));
    this.thread.setDaemon(true);
  }

  void begin() {
    thread.start();
  }

  void wake() {
    LockSupport.unpark(thread);
  }

  void stop() {
    stopping = true;
    wake();
  }

  /** Waits until the author's code is closed; false when it is not by then. */
  boolean join(long millis) throws InterruptedException {
    thread.join(Math.max(1, millis));
    return !thread.isAlive();
  }

  boolean runsIn(Thread other) {
    return thread == other;
  }

  /** Reports what no call of one task threw, as an error of the first. Any thread. */
  void report(Throwable error) {
    if (tasks.isEmpty()) {
      reportUnmade(ids.get(0), error);
    } else {
      tasks.get(0).report(error);
    }
  }

  @Override
  public void run() {
    try {
      open();
      while (!stopping) {
        turn();
      }
    } catch (UserCodeFailed error) {
      onFailure.failed(error);
    } catch (Throwable error) {
      report(error);
      onFailure.failed(new UserCodeFailed(error));
    }
    close();
  }

  private void turn() {
    long nowNs = runtime.nowNs();
    boolean happened = false;
    for (Task task : tasks) {
      // Each has its own turn: what the others took is not its time.
      happened |= task.step(runtime.nowNs());
    }
    if (nowNs >= measureAtNs) {
      measureAtNs = nowNs + tasks.get(0).options.metricsIntervalNs();
      tasks.forEach(Task::measure);
    }
    runtime.afterStep(!happened);
    if (!happened) {
      LockSupport.parkNanos(this, waitNs(nowNs));
    }
  }

  private long waitNs(long nowNs) {
    long waitNs = IDLE_NS_MAX;
    for (Task task : tasks) {
      waitNs = Math.min(waitNs, task.nextDeadlineNs() - nowNs);
      if (task instanceof SpoutTask && runtime.isActive()) {
        waitNs = Math.min(waitNs, task.options.spoutWaitNs());
      }
    }
    return Math.max(0, waitNs);
  }

  private void open() {
    Map<String, Object> executorData = new HashMap<>();
    for (int id : ids) {
      Task task = make(id, executorData);
      runtime.add(task);
      tasks.add(task);
    }
    ComponentHost host = runtime.host(plan);
    for (Task task : tasks) {
      try {
        Map<String, Route> routes = Route.make(plan, task.id(), host, runtime.newRandom());
        task.open(new Emitter(runtime, task.context, routes, runtime.newRandom()));
        opened.add(task);
      } catch (UserCodeFailed error) {
        throw error;
      } catch (Throwable error) {
        task.report(error);
        throw new UserCodeFailed(error);
      }
    }
  }

  private Task make(int id, Map<String, Object> executorData) {
    try {
      return makeUnguarded(id, executorData);
    } catch (Throwable error) {
      reportUnmade(id, error);
      throw new UserCodeFailed(error);
    }
  }

  private void reportUnmade(int id, Throwable error) {
    Options options = options(id);
    TaskMeter meter =
        new TaskMeter(
            id,
            plan.componentOf().get(id),
            options.errorReportMax(),
            options.errorReportIntervalNs());
    meter.error(error, "", runtime.nowNs(), System.currentTimeMillis());
    runtime.addUnmade(meter);
    System.err.println(Log.trace(error));
  }

  private Options options(int id) {
    return new Options(
        plan.wire().getTopology(), plan.component(plan.componentOf().get(id)));
  }

  private Task makeUnguarded(int id, Map<String, Object> executorData) {
    Options options = options(id);
    Component component = plan.component(plan.componentOf().get(id));
    ComponentHost host = runtime.host(plan);
    String name = component.getId();
    TaskContext context = new TaskContext(plan, id, name, executorData, start.container());
    if (component.getKind() == ComponentKind.COMPONENT_KIND_SPOUT) {
      return new SpoutTask(
          runtime, context, options, host.spout(context), failsFast(name, options),
          runtime.newRandom());
    }
    return new BoltTask(runtime, context, options, host.bolt(context), host.opaqueValues());
  }

  /** Trees may fail before their timeout where nothing downstream keeps them open. */
  private boolean failsFast(String spout, Options options) {
    Boolean wanted = options.failFast();
    boolean isOurs = plan.wire().getTopology().getDialect() == Dialect.DIALECT_HERONSHIM;
    return (wanted == null ? isOurs : wanted)
        && plan.downstreamOf(spout).stream()
            .noneMatch(
                one -> new Options(plan.wire().getTopology(), plan.component(one)).holdsTuples());
  }

  private void close() {
    for (Task task : opened) {
      try {
        task.close();
      } catch (Throwable error) {
        task.report(error);
      }
    }
  }
}
