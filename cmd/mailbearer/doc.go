// Command mailbearer opens the doors, introduces the rooms to each other and closes up at night.
//
//  1. main makes a context that SIGTERM and SIGINT end, and calls run, which the tests call too;
//  2. a command reads the configuration (loadConfig) and does its work; `run` and `demo` open a station;
//  3. a station (station.go) joins the rooms. What stays is its own: spool, token store, sockets. What a configuration
//     makes is a crew (crew.go): token managers and mailboxes, courier, alerts, the front door's policy;
//  4. SIGHUP makes another crew, which takes over while mail flows (reload.go);
//  5. when the context ends the station closes in order: no new mail, idle clients told, attempts given back or waited
//     for, connections cut, spool closed.
//
// No room knows the configuration or another room's neighbours; what must be known of both sides is known here.
// It never prints a secret, and no error ends in a stack.
package main
