/**
 * Looks into an author's jar and into the topologies that its main submitted, for `heronshim compat
 * check`. Runs in a throw-away virtual machine; see heronshim/storm/inspection.py.
 */
package io.heronshim.inspect;
