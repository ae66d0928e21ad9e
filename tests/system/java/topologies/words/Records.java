package words;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.TreeMap;
import org.apache.storm.task.TopologyContext;

/** What one task saw, as a JSON file that tests read: counts by name. */
final class Records {
  private static final long WRITE_NS = 100_000_000;
  private final Map<String, Long> counts = new TreeMap<>();
  private final Path path;
  private long writtenNs;

  Records(Map<String, Object> conf, TopologyContext context) {
    String name = context.getThisComponentId() + "-" + context.getThisTaskId() + ".json";
    path = Path.of((String) conf.get("words.folder"), name);
  }

  void count(String name) {
    counts.merge(name, 1L, Long::sum);
  }

  /** Now and then, and the next time if not now. */
  void writeSometimes() {
    if (System.nanoTime() - writtenNs > WRITE_NS) {
      write();
    }
  }

  void write() {
    writtenNs = System.nanoTime();
    StringBuilder text = new StringBuilder("{");
    counts.forEach(
        (name, count) -> {
          text.append(text.length() > 1 ? ", " : "");
          text.append('"').append(name).append("\": ").append(count);
        });
    try {
      Path fresh = path.resolveSibling(path.getFileName() + ".new");
      Files.writeString(fresh, text.append("}").toString());
      Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
