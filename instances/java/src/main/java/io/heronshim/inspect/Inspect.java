package io.heronshim.inspect;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.File;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;

/**
 * Arguments: FOLDER JAR. Writes `jar.json` into the folder, then for each `stormcode-N.ser` there
 * (a StormTopology as Thrift writes it) `topology-N.json`. Class files are read first; after that
 * the topologies' objects are opened, which runs code of the author's.
 */
public final class Inspect {
  private Inspect() {}

  /** Exits 0 when all files are written. */
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    try (JarFile jar = new JarFile(arguments[1], false);
        URLClassLoader client =
            new URLClassLoader(clientPath(arguments[1]), ClassLoader.getPlatformClassLoader())) {
      ClassFiles files = new ClassFiles(client, jar);
      write(folder.resolve("jar.json"), new JarScan(files, jar).run());
      for (int number = 0; ; number++) {
        Path code = folder.resolve("stormcode-" + number + ".ser");
        if (!Files.exists(code)) {
          break;
        }
        JsonObject found = new TopologyScan(files).run(Files.readAllBytes(code));
        write(folder.resolve("topology-" + number + ".json"), found);
      }
    }
    // Threads that the author's objects started are nobody's here.
    Runtime.getRuntime().halt(0);
  }

  private static URL[] clientPath(String jar) throws MalformedURLException {
    List<URL> urls = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      if (!entry.equals(jar)) {
        urls.add(Path.of(entry).toUri().toURL());
      }
    }
    return urls.toArray(URL[]::new);
  }

  private static void write(Path path, JsonObject value) throws IOException {
    Path partial = path.resolveSibling(path.getFileName() + ".partial");
    Files.writeString(partial, value.toString());
    Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE);
  }

  static JsonArray array(Iterable<String> texts) {
    JsonArray array = new JsonArray();
    texts.forEach(array::add);
    return array;
  }
}
