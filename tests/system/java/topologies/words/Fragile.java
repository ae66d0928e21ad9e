package words;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.tuple.Tuple;

/** Splits lines, but throws at the first one, as long as there is no file that says it did. */
public class Fragile extends SplitRows {
  private transient Path thrown;

  @Override
  public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
    super.prepare(conf, context, out);
    thrown = Path.of((String) conf.get("words.folder"), "thrown");
  }

  @Override
  public void execute(Tuple input) {
    if (!Files.exists(thrown)) {
      try {
        Files.createFile(thrown);
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
      throw new IllegalStateException("this line is too much");
    }
    super.execute(input);
  }
}
