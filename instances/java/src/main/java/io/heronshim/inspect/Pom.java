package io.heronshim.inspect;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

/** A Maven project, as far as it says which Storm it was built with. */
final class Pom {
  private Pom() {}

  /** `artifact:version` of its dependencies on Storm; the version as it is written. */
  static List<String> stormLibraries(byte[] text) throws IOException {
    Document document;
    try {
      DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
      // Without a doctype nothing outside of the text is read, and nothing grows.
      factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
      document = factory.newDocumentBuilder().parse(new ByteArrayInputStream(text));
    } catch (ParserConfigurationException | SAXException error) {
      throw new IOException(error.getMessage(), error);
    }
    List<String> found = new ArrayList<>();
    NodeList dependencies = document.getElementsByTagName("dependency");
    for (int index = 0; index < dependencies.getLength(); index++) {
      Element dependency = (Element) dependencies.item(index);
      if (child(dependency, "groupId").equals("org.apache.storm")) {
        String version = property(document, child(dependency, "version"));
        found.add(child(dependency, "artifactId") + ":" + version);
      }
    }
    return found;
  }

  private static String property(Document document, String version) {
    if (!version.startsWith("${") || !version.endsWith("}")) {
      return version;
    }
    NodeList named =
        document.getElementsByTagName(version.substring(2, version.length() - 1));
    return named.getLength() == 1 ? named.item(0).getTextContent().trim() : version;
  }

  private static String child(Element element, String name) {
    for (Node node = element.getFirstChild(); node != null; node = node.getNextSibling()) {
      if (node.getNodeName().equals(name)) {
        return node.getTextContent().trim();
      }
    }
    return "";
  }
}
