package io.heronshim.instance;

import io.heronshim.storm.StormHost;
import java.nio.file.Path;

/** Chooses the host of an author's components. Storm 2 is the only generation so far. */
final class ComponentHosts {
  private ComponentHosts() {}

  static ComponentHost make(Plan plan, ChildStart start) {
    return new StormHost(plan, start.topologyId(), Path.of(start.packageDir()));
  }
}
