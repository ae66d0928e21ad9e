package zoo;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.apache.storm.task.TopologyContext;

/** A file of lines for each task: `component-index.txt`. */
final class Notes {
  private final Path path;

  Notes(Map<String, Object> conf, TopologyContext context) {
    String name = context.getThisComponentId() + "-" + context.getThisTaskIndex() + ".txt";
    path = Path.of((String) conf.get("zoo.folder"), name);
  }

  void write(String line) {
    try {
      Files.writeString(
          path, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
