package io.heronshim.instance;

import com.sun.management.OperatingSystemMXBean;
import io.heronshim.wire.v1.Merge;
import io.heronshim.wire.v1.NamedValue;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What the process itself used. One thread at a time. */
final class ProcessFigures {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final long NS_PER_US = 1000;
  private final OperatingSystemMXBean system =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private long cpuTimeUs;

  /** CPU time since the last call, and memory now. */
  List<NamedValue> take() {
    List<NamedValue> values = new ArrayList<>();
    long total = system.getProcessCpuTime() / NS_PER_US;
    values.add(value("cpu_time_us", total - cpuTimeUs, Merge.MERGE_SUM));
    cpuTimeUs = total;
    values.add(value("rss_bytes", rssBytes(), Merge.MERGE_LAST));
    return values;
  }

  private static NamedValue value(String name, double value, Merge merge) {
    return NamedValue.newBuilder().setName(name).setValue(value).setMerge(merge).build();
  }

  private static long rssBytes() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith("VmRSS:")) {
          return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
    } catch (IOException error) {
      Log.warning("memory_unknown", "error", error);
    }
    return 0;
  }
}
