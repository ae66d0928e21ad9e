package io.heronshim.instance;

import io.heronshim.stream.Frame;
import io.heronshim.stream.FrameHeader;
import io.heronshim.wire.v1.ErrorCode;
import io.heronshim.wire.v1.Hello;
import io.heronshim.wire.v1.Role;
import java.io.IOException;
import java.nio.channels.Selector;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * A Java instance process: the main thread owns the socket, each executor of the plan is a thread of
 * its own (docs/instance-protocol.md).
 */
public final class Main implements InstanceRuntime.Wakeup, DealerLink.Listener {
  private static final long CLOSE_MS = 2000;
  private static final long END_MS = 2900;
  private static final long WAIT_NS_MAX = 200_000_000;
  private static final long NS_PER_MS = 1_000_000;
  private static final Pattern SIGNAL = Pattern.compile("SIG[A-Z]+ handler");
  private static final int EXIT_USER_CODE = 1;
  private static final int EXIT_BAD_START = 2;

  private final ChildStart start;
  private final Selector selector;
  private final InstanceRuntime runtime;
  private final DealerLink link;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile List<Executor> executors = List.of();
  private volatile boolean stopping;
  private volatile int exitCode;

  private Main(ChildStart start) throws IOException {
    this.start = start;
    this.selector = Selector.open();
    SplittableRandom random = new SplittableRandom(new SecureRandom().nextLong());
    this.runtime =
        new InstanceRuntime(start, random, this, plan -> ComponentHosts.make(plan, start));
    Hello hello =
        Hello.newBuilder()
            .setProtocolVersion(FrameHeader.PROTOCOL_VERSION)
            .setTopologyId(start.topologyId())
            .setRole(Role.ROLE_INSTANCE)
            .setProcess(start.process())
            .addAllTasks(start.tasks())
            .setIncarnation(start.incarnation())
            .setToken(start.token())
            .setPid((int) ProcessHandle.current().pid())
            .setContainer(start.container())
            .build();
    this.link =
        new DealerLink(
            hello, start.endpoint(), start.silenceLimitNs(), selector, this, System.nanoTime());
  }

  /** Reads the start from standard input and runs until SIGTERM. */
  public static void main(String[] arguments) {
    Main main;
    try {
      main = new Main(ChildStart.read(System.in));
    } catch (IOException | IllegalArgumentException error) {
      Log.error("bad_start", "error", error.getMessage());
      System.exit(EXIT_BAD_START);
      return;
    }
    Runtime.getRuntime().addShutdownHook(new Thread(main::onShutdown, "shutdown"));
    try {
      System.exit(main.run());
    } finally {
      // Not even an error could be told.
      Runtime.getRuntime().halt(EXIT_USER_CODE);
    }
  }

  private int run() {
    try {
      while (!stopping) {
        turn();
      }
      end();
    } catch (IOException | RuntimeException | Error error) {
      // Whatever it is: a process whose socket nobody serves must end.
      exitCode = EXIT_USER_CODE;
      Log.error("instance_failed", "process", start.process(), "error", error);
      System.err.println(Log.trace(error));
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    } finally {
      ended.countDown();
    }
    return exitCode;
  }

  private void turn() throws IOException {
    long nowNs = runtime.nowNs();
    link.tick(nowNs);
    send(runtime.turn(link.isUp(), nowNs), nowNs);
    long dueNs = Math.min(runtime.nextDeadlineNs(link.isUp()), link.nextDeadlineNs());
    long waitNs = Math.min(WAIT_NS_MAX, dueNs - runtime.nowNs());
    if (waitNs >= NS_PER_MS / 2) {
      selector.select((waitNs + NS_PER_MS / 2) / NS_PER_MS);
    } else {
      selector.selectNow();
    }
    if (!selector.selectedKeys().isEmpty()) {
      selector.selectedKeys().clear();
      link.read(runtime.nowNs());
    }
  }

  private void send(List<Frame> frames, long nowNs) {
    for (Frame frame : frames) {
      link.send(frame.kind(), frame.destination(), frame.source(), frame.payload());
    }
    link.write(nowNs);
  }

  /** Closes the author's components, sends what is left, says bye. */
  private void end() throws IOException, InterruptedException {
    executors.forEach(Executor::stop);
    long untilNs = runtime.nowNs() + CLOSE_MS * NS_PER_MS;
    for (Executor executor : executors) {
      // The link is served meanwhile: silence would be taken for death.
      while (!executor.join(1) && runtime.nowNs() < untilNs) {
        turn();
      }
    }
    long nowNs = runtime.nowNs();
    List<Frame> last = runtime.end(nowNs);
    if (link.isUp()) {
      send(last, nowNs);
    }
    link.sayBye("stopped", nowNs);
    while (link.state() != DealerLink.State.OVER) {
      selector.select(Math.max(1, (link.nextDeadlineNs() - runtime.nowNs()) / NS_PER_MS));
      selector.selectedKeys().clear();
      link.write(runtime.nowNs());
      link.read(runtime.nowNs());
      link.tick(runtime.nowNs());
    }
  }

  /** SIGTERM, or System.exit of ours or the author's. */
  private void onShutdown() {
    if (ended.getCount() == 0) {
      return;
    }
    Map<Thread, StackTraceElement[]> threads = Thread.getAllStackTraces();
    if (threads.keySet().stream().noneMatch(thread -> SIGNAL.matcher(thread.getName()).matches())) {
      reportExit(threads);
    }
    stop();
    try {
      if (!ended.await(END_MS, TimeUnit.MILLISECONDS)) {
        Log.warning("close_took_too_long", "process", start.process());
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
    // After a signal the virtual machine would exit with 143: an end that was asked for is 0.
    Runtime.getRuntime().halt(exitCode);
  }

  /** Reports where the author's code ended the process; its executor never returns from there. */
  private void reportExit(Map<Thread, StackTraceElement[]> threads) {
    exitCode = EXIT_USER_CODE;
    IllegalStateException error =
        new IllegalStateException("System.exit was called in the author's code");
    Executor known = executors.isEmpty() ? null : executors.get(0);
    for (Map.Entry<Thread, StackTraceElement[]> entry : threads.entrySet()) {
      boolean exits =
          Arrays.stream(entry.getValue())
              .anyMatch(
                  frame ->
                      frame.getClassName().equals("java.lang.Runtime")
                          && frame.getMethodName().equals("exit"));
      if (exits) {
        error.setStackTrace(entry.getValue());
        for (Executor executor : executors) {
          known = executor.runsIn(entry.getKey()) ? executor : known;
        }
      }
    }
    if (known != null) {
      known.report(error);
    }
  }

  private void stop() {
    stopping = true;
    selector.wakeup();
  }

  @Override
  public void wakeIo() {
    selector.wakeup();
  }

  @Override
  public void wakeExecutors() {
    executors.forEach(Executor::wake);
  }

  @Override
  public void start(Plan plan) {
    List<Executor> made = new ArrayList<>();
    for (List<Integer> ids : start.executors()) {
      made.add(new Executor(runtime, start, plan, ids, this::onFailure));
    }
    executors = List.copyOf(made);
    executors.forEach(Executor::begin);
  }

  private void onFailure(UserCodeFailed error) {
    Log.error("user_code_failed", "process", start.process(), "error", error.getMessage());
    exitCode = EXIT_USER_CODE;
    stop();
  }

  @Override
  public void joined() {
    runtime.onNewLink();
  }

  @Override
  public void refused(ErrorCode code, String message) {
    Log.warning("link_refused", "process", start.process(), "cause", message);
    if (code == ErrorCode.ERROR_CODE_STALE_INCARNATION) {
      // Replaced while it was stopped: a stream manager that forgets it must not take it in.
      stop();
    }
  }

  @Override
  public void ended(String cause, boolean clean) {
    if (!clean || !stopping) {
      Log.warning("link_ended", "process", start.process(), "cause", cause);
    }
    if (!clean) {
      runtime.onLinkLost("link of " + start.process() + " ended: " + cause, runtime.nowNs());
    }
  }

  @Override
  public void frame(FrameHeader header, byte[] payload) {
    runtime.onFrame(header, payload, runtime.nowNs());
  }
}
