package zoo;

import org.apache.storm.Config;
import org.apache.storm.StormSubmitter;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.topology.base.BaseWindowedBolt;
import org.apache.storm.tuple.Fields;

/** One of each: groupings, a window, a direct stream, a bolt in another program. */
public final class Zoo {
  private Zoo() {}

  public static void main(String[] arguments) throws Exception {
    TopologyBuilder builder = new TopologyBuilder();
    builder.setSpout("numbers", new Numbers());
    builder.setBolt("custom", new Sink(), 3).customGrouping("numbers", new ByRemainder());
    builder.setBolt("partial", new Sink(), 3).partialKeyGrouping("numbers", new Fields("key"));
    builder.setBolt("fields", new Sink(), 3).fieldsGrouping("numbers", new Fields("key"));
    builder.setBolt("all", new Sink(), 2).allGrouping("numbers");
    builder.setBolt("global", new Sink(), 2).globalGrouping("numbers");
    builder.setBolt("router", new Router()).localOrShuffleGrouping("numbers");
    builder.setBolt("direct", new Sink(), 2).directGrouping("router", "routed");
    builder
        .setBolt("sums", new Sums().withTumblingWindow(BaseWindowedBolt.Count.of(20)))
        .shuffleGrouping("numbers");
    builder.setBolt("windows", new Sink()).shuffleGrouping("sums");
    builder.setBolt("shouter", new Shouter()).shuffleGrouping("numbers");
    builder.setBolt("shouts", new Sink()).noneGrouping("shouter");
    Config conf = new Config();
    conf.put("zoo.folder", arguments[0]);
    // Many virtual machines start at once, on a machine that may be busy.
    conf.setMessageTimeoutSecs(600);
    StormSubmitter.submitTopology("zoo", conf, builder.createTopology());
  }
}
