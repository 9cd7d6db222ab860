// What improves every page. Each page works and prints without it.
import { showCopyButtons } from "./copy.js";
import { showLocalTimes } from "./times.js";
import { closeMenusOutside } from "./menus.js";
import { showPrintButtons } from "./print.js";
import { keepLive } from "./live.js";
import { offerRequest } from "./request.js";
import { offerVerification } from "./verification.js";

keepLive();
offerRequest();
showCopyButtons(document);
showLocalTimes(document);
closeMenusOutside();
showPrintButtons();
offerVerification();
