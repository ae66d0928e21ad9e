package words;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.tuple.Fields;
import org.apache.storm.utils.Utils;

/**
 * Writes stormcode.ser of the word count into a folder, as a submit to Storm makes it. Numbers of
 * tasks are set, since Nimbus sets them where an author did not.
 */
public final class Package {
  private Package() {}

  public static void main(String[] arguments) throws Exception {
    TopologyBuilder builder = new TopologyBuilder();
    builder.setSpout("lines", new Lines(), 2).setNumTasks(2);
    builder.setBolt("split", new Split(), 2).setNumTasks(2).shuffleGrouping("lines");
    builder.setBolt("count", new Count(), 2).setNumTasks(2).fieldsGrouping("split", new Fields("word"));
    StormTopology topology = builder.createTopology();
    Files.write(Path.of(arguments[0], "stormcode.ser"), Utils.thriftSerialize(topology));
  }
}
