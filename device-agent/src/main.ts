#!/usr/bin/env node
import "./index.ts";
